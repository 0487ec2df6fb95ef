"""What talks to a Jenkins server: python-jenkins for what it has, plain REST for what it lacks."""
