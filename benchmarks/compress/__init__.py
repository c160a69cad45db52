"""Two small models, each cut by structured, block and unstructured pruning: is it faster for real, and as good?"""
