"""What makes the parts of the documentation that are taken from the product itself. It is no part of the product."""
