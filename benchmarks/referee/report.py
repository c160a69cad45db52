def render(data): return ""
