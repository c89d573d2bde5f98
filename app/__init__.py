"""The composition root: the only package that knows every part, and the server and commands that run them."""
