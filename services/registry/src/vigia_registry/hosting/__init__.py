"""Hosting: which model versions serve, and making it so in every Triton.

``domain`` holds the words, ``versions`` and ``replica_plan`` the decisions (no I/O), ``controller`` and ``replica``
carry them out, ``announcements`` tells the stream.
"""
