def tables(study):
    return ""
