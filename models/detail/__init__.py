"""Makes the network of ``refine=detail``, see README.md."""
