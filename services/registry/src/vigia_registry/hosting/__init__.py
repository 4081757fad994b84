"""Hosting: which model versions serve, and making it so in every Triton.

``domain`` holds the words, ``versions``, ``replica_plan`` and ``scaling`` the decisions (no I/O), ``controller``,
``replica`` and ``autoscaler`` carry them out, ``announcements`` tells the stream.
"""
