"""H.264 and H.265 video: packets of messages to images, by PyAV. Free of ROS.

`packets` says what a message holds, `stream` decodes, `queue` decodes in a thread and skips to a key frame where it
falls behind.
"""
