def tables(study): return ""
