"""The composition root: the only place that knows every part, and what runs them."""
