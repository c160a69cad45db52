"""What `assay optimize` reaches on a set of tasks, each result a judgement of its own, failures included."""
