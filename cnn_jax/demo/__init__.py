"""The page of `--mode=demo`: a trained net, to be explored in a browser.

The only importer of gradio, which is imported where it is used: the extra `demo` installs it.
"""
