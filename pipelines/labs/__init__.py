"""One experiment a file, on the components of ``shared`` and the runs of ``pipelines.train``: what each article claims, seen again."""
