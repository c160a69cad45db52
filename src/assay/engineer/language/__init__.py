"""Language models behind any endpoint that speaks OpenAI's protocol: asked, accounted for, never trusted."""
