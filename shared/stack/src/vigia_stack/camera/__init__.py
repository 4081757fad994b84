"""A camera for demos and tests: real RTSP (H.264) and MJPEG servers that play photographs as a line of parts."""
