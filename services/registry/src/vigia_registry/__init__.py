"""What exists and what should run: accounts, projects, datasets, models, lines, cameras, hosting."""
