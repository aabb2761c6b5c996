#!/usr/bin/env python3
"""deploy/package.py: what it packs, read back byte by byte.

  package_test.py THAW BOOTSTRAP SOURCE_FOLDER SCRATCH_FOLDER
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import unittest
import zipfile

THAW, BOOTSTRAP, SOURCE, SCRATCH = sys.argv[1:5]
MACHINES = {"x86-64": 62, "aarch64": 183}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def program_for(arch):
    """The bootstrap that was built, or the head of a program for the other architecture."""
    with open(BOOTSTRAP, "rb") as file:
        head = bytearray(file.read())
    path = os.path.join(SCRATCH, f"program-{arch}")
    struct.pack_into("<H", head, 18, MACHINES[arch])
    with open(path, "wb") as file:
        file.write(head)
    os.chmod(path, 0o700)
    return path


def package(out, *more, snapshot=None):
    words = [sys.executable, f"{SOURCE}/deploy/package.py", snapshot or f"{SCRATCH}/tiny.thaw",
             "--out", f"{SCRATCH}/{out}", *more]
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(SCRATCH, ignore_errors=True)
        os.makedirs(SCRATCH)
        model = f"{SOURCE}/tests/data/golden/llama-q4_1.gguf"
        subprocess.run([THAW, "freeze", model, "-o", f"{SCRATCH}/tiny.thaw"], check=True,
                       capture_output=True)
        cls.programs = [f"--bootstrap={arch}={program_for(arch)}" for arch in MACHINES]
        cls.done = package("one", *cls.programs)
        assert cls.done.returncode == 0, cls.done.stderr

    def test_leaves_what_each_platform_takes(self):
        self.assertEqual(sorted(os.listdir(f"{SCRATCH}/one")), [
            "bootstrap-aarch64", "bootstrap-x86-64", "fc-x86-64-tiny.zip",
            "lambda-aarch64-tiny.zip", "lambda-x86-64-tiny.zip", "oci-tiny"])

    def test_zips_hold_the_program_and_the_snapshot_as_they_are(self):
        for name, arch in (("lambda-x86-64", "x86-64"), ("lambda-aarch64", "aarch64"),
                           ("fc-x86-64", "x86-64")):
            with zipfile.ZipFile(f"{SCRATCH}/one/{name}-tiny.zip") as archive:
                self.assertIsNone(archive.testzip())
                program, snapshot = archive.infolist()
                self.assertEqual((program.filename, snapshot.filename), ("bootstrap", "tiny.thaw"))
                self.assertEqual(program.external_attr >> 16, 0o100755)
                self.assertEqual(snapshot.external_attr >> 16, 0o100644)
                self.assertEqual(program.create_system, 3)
                self.assertEqual({info.date_time for info in archive.infolist()},
                                 {(1980, 1, 1, 0, 0, 0)})
                self.assertEqual(snapshot.compress_type, zipfile.ZIP_STORED)
                self.assertEqual(program.compress_type, zipfile.ZIP_DEFLATED)
                self.assertEqual(archive.read("bootstrap"), read(f"{SCRATCH}/program-{arch}"))
                self.assertEqual(archive.read("tiny.thaw"), read(f"{SCRATCH}/tiny.thaw"))

    def test_gives_the_same_bytes_again(self):
        os.utime(f"{SCRATCH}/tiny.thaw", (1, 1))
        self.assertEqual(package("two", *self.programs).returncode, 0)

        def contents(root):
            found = {}
            for folder, _, names in os.walk(root):
                for name in names:
                    path = os.path.join(folder, name)
                    found[os.path.relpath(path, root)] = hashlib.sha256(read(path)).hexdigest()
            return found

        self.assertEqual(contents(f"{SCRATCH}/one"), contents(f"{SCRATCH}/two"))

    def test_layout_is_whole_by_its_own_digests(self):
        layout = f"{SCRATCH}/one/oci-tiny"
        self.assertEqual(json.loads(read(f"{layout}/oci-layout")), {"imageLayoutVersion": "1.0.0"})
        reached = set()

        def blob(descriptor):
            algorithm, digest = descriptor["digest"].split(":")
            self.assertEqual(algorithm, "sha256")
            reached.add(digest)
            content = read(f"{layout}/blobs/sha256/{digest}")
            self.assertEqual(len(content), descriptor["size"])
            self.assertEqual(hashlib.sha256(content).hexdigest(), digest)
            return content

        index = json.loads(read(f"{layout}/index.json"))
        self.assertEqual(index["schemaVersion"], 2)
        weights = set()
        for entry, (arch, oci) in zip(index["manifests"],
                                      (("x86-64", "amd64"), ("aarch64", "arm64"))):
            self.assertEqual(entry["platform"], {"architecture": oci, "os": "linux"})
            self.assertEqual(entry["annotations"]["org.opencontainers.image.ref.name"], arch)
            manifest = json.loads(blob(entry))
            self.assertEqual(manifest["mediaType"], entry["mediaType"])
            config = json.loads(blob(manifest["config"]))
            self.assertEqual((config["architecture"], config["os"]), (oci, "linux"))
            self.assertEqual(config["config"]["Labels"],
                             {"com.amazonaws.lambda.feature.snapstart": "Allow"})
            files = {}
            for layer, diff in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
                self.assertEqual(layer["mediaType"],
                                 "application/vnd.oci.image.layer.v1.tar+gzip")
                tar = gzip.decompress(blob(layer))
                self.assertEqual(f"sha256:{hashlib.sha256(tar).hexdigest()}", diff)
                with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
                    for member in archive:
                        self.assertEqual((member.mtime, member.uid, member.gid), (0, 0, 0))
                        if member.isfile():
                            files[member.name] = (member.mode, archive.extractfile(member).read())
                        else:
                            self.assertEqual((member.isdir(), member.mode), (True, 0o755))
            self.assertEqual(files, {
                "var/task/tiny.thaw": (0o644, read(f"{SCRATCH}/tiny.thaw")),
                "var/runtime/bootstrap": (0o755, read(f"{SCRATCH}/program-{arch}"))})
            self.assertEqual(config["config"]["Entrypoint"], ["/var/runtime/bootstrap"])
            self.assertIn("THAW_SNAPSHOT=/var/task/tiny.thaw", config["config"]["Env"])
            weights.add(manifest["layers"][0]["digest"])
        self.assertEqual(len(weights), 1, "the architectures share the weights")
        self.assertEqual(reached, set(os.listdir(f"{layout}/blobs/sha256")))

    def test_says_sizes_beside_limits(self):
        lines = [" ".join(line.split()) for line in self.done.stdout.splitlines()]
        for words in ("lambda-x86-64-tiny.zip unzipped", "lambda-aarch64-tiny.zip direct upload",
                      "fc-x86-64-tiny.zip", "oci-tiny:aarch64"):
            self.assertTrue(any(words in line and line.endswith("fits") for line in lines), lines)

    def test_deflates_weights_where_that_spares_the_way_through_s3(self):
        # 60 MB that shrink to nothing, behind a snapshot's magic.
        with open(f"{SCRATCH}/wide.thaw", "wb") as file:
            file.write(b"THAW")
            file.truncate(60 << 20)
        done = package("wide", self.programs[0], snapshot=f"{SCRATCH}/wide.thaw")
        self.assertEqual(done.returncode, 0, done.stderr)
        with zipfile.ZipFile(f"{SCRATCH}/wide/lambda-x86-64-wide.zip") as archive:
            self.assertEqual(archive.getinfo("wide.thaw").compress_type, zipfile.ZIP_DEFLATED)
        with zipfile.ZipFile(f"{SCRATCH}/wide/fc-x86-64-wide.zip") as archive:
            self.assertEqual(archive.getinfo("wide.thaw").compress_type, zipfile.ZIP_STORED)

    def test_names_what_does_not_fit(self):
        with open(f"{SCRATCH}/large.thaw", "wb") as file:
            file.write(b"THAW")
            file.truncate(251 << 20)
        done = package("large", self.programs[0], snapshot=f"{SCRATCH}/large.thaw")
        self.assertIn("too large: use the image", done.stdout)
        shutil.rmtree(f"{SCRATCH}/large")

    def test_refuses_what_is_no_snapshot_and_no_program(self):
        for words, message in (
                (["--bootstrap", f"x86-64={SOURCE}/README.md"], "no program for x86-64"),
                (["--bootstrap", f"x86-64={SCRATCH}/program-aarch64"], "no program for x86-64"),
                (["--bootstrap", "x86-64=/no/such"], "/no/such: No such file"),
                (["--bootstrap", "mips=/bin/true"], "wanted x86-64=PATH or aarch64=PATH")):
            done = package("none", *words)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(message, done.stderr)
        done = package("none", *self.programs, snapshot=f"{SOURCE}/README.md")
        self.assertIn("no snapshot; 'thaw freeze' makes one", done.stderr)

    @unittest.skipUnless(shutil.which("skopeo"), "no skopeo here")
    def test_skopeo_reads_the_layout(self):
        done = subprocess.run(["skopeo", "inspect", f"oci:{SCRATCH}/one/oci-tiny:x86-64"],
                              capture_output=True, text=True, check=True)
        self.assertEqual(json.loads(done.stdout)["Architecture"], "amd64")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
