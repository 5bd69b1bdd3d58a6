"""Everything that makes ``models/builtin.onnx`` again: a small network that mattes people,
trained from nothing on pictures of synthetic humans. ``make.py`` runs the steps; README.md explains them."""
