"""A saved model at work: on the command line and over HTTP."""
