"""The judge beside what canary tools commonly use, on simulated services whose truth is known."""
