"""Running what a plan says is missing. The only package that imports Prefect, and only inside ``prefect_flow``."""
