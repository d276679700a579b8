"""Usage → future load with quantiles."""
