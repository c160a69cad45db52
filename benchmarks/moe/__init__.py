"""The language-model experiments: are sparse models as good as dense ones that cost more?"""
