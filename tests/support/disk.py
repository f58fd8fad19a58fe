"""Small disks that fill up, run out of inodes or turn read-only. Mounting needs root."""

import contextlib
import os
import pathlib
import subprocess
import tempfile


class Disk:
    """A tmpfs of its own, gone with close()."""

    def __init__(self, options="size=2m"):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="pawl-disk-"))
        try:
            self.mount(options)
        except BaseException:
            self.path.rmdir()
            raise

    def mount(self, options):
        run("mount", "-t", "tmpfs", "-o", options, "pawl-test", self.path)

    def fill(self):
        """Not one byte more fits."""
        with open(self.path / "filler", "ab", buffering=0) as filler:
            for size in (1 << 20, 1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(b"x" * size)

    def empty(self):
        (self.path / "filler").unlink()

    def remount(self, options):
        run("mount", "-o", f"remount,{options}", self.path)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=False)
        self.path.rmdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FailingDisk(Disk):
    """ext4 on a loop device. fail() is what the kernel does after an error: from then on it cannot be written to, while
    files are open for writing."""

    def __init__(self):
        self.image = tempfile.NamedTemporaryFile(prefix="pawl-disk-", suffix=".img")
        os.truncate(self.image.name, 16 << 20)
        run("mkfs.ext4", "-q", self.image.name)
        # One device for all of its life: with one a mount the next would sometimes show what the last had in its cache.
        self.device = run("losetup", "--find", "--show", self.image.name).strip()
        try:
            super().__init__()
        except BaseException:
            run("losetup", "--detach", self.device)
            raise

    def mount(self, options):
        run("mount", self.device, self.path)

    def fail(self):
        self.remount("abort")

    def repair(self):
        """As an administrator would: off, checked, on again."""
        run("umount", self.path)
        subprocess.run(["fsck.ext4", "-y", self.device], capture_output=True, check=False)
        self.mount("")

    def close(self):
        super().close()
        run("losetup", "--detach", self.device)
        self.image.close()


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout
