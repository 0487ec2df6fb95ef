"""A good and a bad release under live traffic: what `theseus-ci demo` shows."""
