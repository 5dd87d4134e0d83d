"""`allabel simulate`: strategies replayed on annotated files, with results, plots and a report."""
