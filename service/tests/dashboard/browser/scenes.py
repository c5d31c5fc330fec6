"""`scenes.py NAME` plays one scene."""

import sys

from jobs import bucket, cancel, keyboard, many, retry, submit, upload
from looks import accessible, headers, modules
from stage import stage
from trouble import hostile, keys, polling, restart, webhook

SCENES = [submit, keyboard, cancel, retry, upload, bucket, many, hostile, keys, restart, polling, webhook, accessible, modules, headers]

if __name__ == "__main__":
    scene = {scene.__name__: scene for scene in SCENES}[sys.argv[1]]
    with stage() as played:
        scene(played)
