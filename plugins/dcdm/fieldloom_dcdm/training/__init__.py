"""How direction models are trained."""
