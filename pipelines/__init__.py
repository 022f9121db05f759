"""What a person can ask for: one verb a file, a plain function first and a thin typer command after it."""
