"""Running what a plan says is missing. The only package that imports Prefect: ``prefect_flow`` and what it uses."""
