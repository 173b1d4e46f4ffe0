"""What runs a network: device and precision, PyTorch or OpenVINO.

`engines` chooses, `runtime` is PyTorch and the reference, `openvino_runtime` the alternative on CPUs; `inference` makes
trained networks ready, `device` knows the hardware.
"""
