"""Files of published weights, read and written without PyTorch and without running what they say.

files          the front: `read_weights`, `write_weights`, the format found by content
torch_zip      PyTorch's zip format, in and out
torch_legacy   PyTorch's format before 1.6, in
safetensors    safetensors, in and out
unpickle       an interpreter of pickle's data opcodes that imports and calls nothing
converter      what a system says of its published weights, and how names are compared
bert           BERT from a Hugging Face folder
"""
