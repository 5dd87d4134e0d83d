"""Its place makes what lies beside it importable from every test: fakes and scripted servers."""
