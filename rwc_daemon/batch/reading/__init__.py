"""Sound files of strangers, decoded in a confined process.

sounds.py ─▶ reader.py ═▶ child.py ─▶ decode.py ─▶ layout.py, mpeg.py   where the sound lies in the file
 (ours)       (ours)      (confined)            └▶ media.py             what libsndfile does not know, by FFmpeg
"""
