#!/usr/bin/env python3
"""Packs bootstrap and a snapshot for every platform: a zip for AWS Lambda, one for Alibaba Function
Compute, and an OCI image layout that needs no Docker. The same inputs give the same bytes.

  deploy/package.py F.thaw --bootstrap x86-64=PATH [--bootstrap aarch64=PATH] --out FOLDER
"""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import struct
import sys
import tarfile
import zipfile

MB = 1 << 20
# What the platforms' documentation says a package may be. Lambda and container registries count in
# binary megabytes; Function Compute's two are of its direct upload and of its larger regions.
LAMBDA_UNZIPPED_MAX = 250 * MB
LAMBDA_DIRECT_MAX = 50 * MB
FC_DIRECT_MAX = 100 * MB
FC_MAX = 500 * MB
IMAGE_MAX = 10 << 30

ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
ARCHITECTURES = {"x86-64": ("amd64", 62), "aarch64": ("arm64", 183)}  # OCI's name, ELF's number
COPY_BYTES = 1 << 20


def fail(message):
    print(f"package: {message}", file=sys.stderr)
    sys.exit(1)


def check_inputs(snapshot, bootstraps):
    with open(snapshot, "rb") as file:
        if file.read(4) != b"THAW":
            fail(f"{snapshot}: no snapshot; 'thaw freeze' makes one")
    for arch, path in bootstraps.items():
        with open(path, "rb") as file:
            head = file.read(20)
        machine = ARCHITECTURES[arch][1]
        if head[:4] != b"\x7fELF" or struct.unpack_from("<H", head, 18)[0] != machine:
            fail(f"{path}: no program for {arch}; build it first, or name another with --bootstrap")


def deflated_bytes(path):
    """How many bytes the file would take in a zip."""

    class Counting:
        count = 0

        def write(self, data):
            self.count += len(data)
            return len(data)

        def flush(self):
            pass

    counting = Counting()
    with gzip.GzipFile(fileobj=counting, mode="wb", compresslevel=6, mtime=0) as out:
        with open(path, "rb") as file:
            shutil.copyfileobj(file, out, COPY_BYTES)
    return counting.count


def write_zip(path, members, deflate_snapshot):
    """`members`: (name, source, mode). The program is always deflated; weights only where asked."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, source, mode in members:
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.create_system = 3  # Unix, so that the mode counts
            info.external_attr = (0o100000 | mode) << 16
            deflate = mode == 0o755 or deflate_snapshot
            info.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
            info.file_size = os.path.getsize(source)
            with archive.open(info, "w") as out, open(source, "rb") as file:
                shutil.copyfileobj(file, out, COPY_BYTES)


class Blobs:
    """The blobs of an OCI layout, each under the digest of its bytes."""

    def __init__(self, layout):
        self.folder = os.path.join(layout, "blobs", "sha256")
        os.makedirs(self.folder)

    def add(self, write):
        """Has `write` write into a file; the descriptor's digest and size."""
        temporary = os.path.join(self.folder, "unfinished")
        with open(temporary, "wb") as file:
            write(file)
        digest = hashlib.sha256()
        with open(temporary, "rb") as file:
            while part := file.read(COPY_BYTES):
                digest.update(part)
        size = os.path.getsize(temporary)
        os.rename(temporary, os.path.join(self.folder, digest.hexdigest()))
        return {"digest": f"sha256:{digest.hexdigest()}", "size": size}

    def add_json(self, document, media_type):
        text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        return {"mediaType": media_type, **self.add(lambda file: file.write(text))}


class Hashed:
    """Passes bytes on and hashes them."""

    def __init__(self, out):
        self.out, self.digest = out, hashlib.sha256()

    def write(self, data):
        self.digest.update(data)
        return self.out.write(data)


def add_layer(blobs, name, source, mode, compress_level):
    """A layer with one file and the folders above it; its descriptor and the tar's own digest."""
    diff = []

    def write(file):
        with gzip.GzipFile("", "wb", compress_level, file, mtime=0) as packed:
            hashed = Hashed(packed)
            with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
                folders = name.split("/")[:-1]
                for depth in range(len(folders)):
                    folder = tarfile.TarInfo("/".join(folders[: depth + 1]) + "/")
                    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(folder)
                member = tarfile.TarInfo(name)
                member.size, member.mode = os.path.getsize(source), mode
                with open(source, "rb") as content:
                    tar.addfile(member, content)
            diff.append(f"sha256:{hashed.digest.hexdigest()}")

    descriptor = blobs.add(write)
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **descriptor}, diff[0]


def write_layout(layout, snapshot, name, bootstraps):
    """An image for each architecture in one layout; they share the layer of the weights."""
    blobs = Blobs(layout)
    # Weights hardly shrink: the quickest level gives nearly all that there is to be had.
    weights, weights_diff = add_layer(blobs, f"var/task/{name}", snapshot, 0o644, 1)
    manifests, sizes = [], {}
    for arch, path in bootstraps.items():
        program, program_diff = add_layer(blobs, "var/runtime/bootstrap", path, 0o755, 6)
        config = {
            "architecture": ARCHITECTURES[arch][0],
            "os": "linux",
            "config": {
                "Entrypoint": ["/var/runtime/bootstrap"],
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"THAW_SNAPSHOT=/var/task/{name}"],
                "WorkingDir": "/var/task",
                "Labels": {"com.amazonaws.lambda.feature.snapstart": "Allow"},
            },
            "rootfs": {"type": "layers", "diff_ids": [weights_diff, program_diff]},
            "history": [{"created_by": "snapshot"}, {"created_by": "bootstrap"}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blobs.add_json(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [weights, program],
        }
        descriptor = blobs.add_json(manifest, manifest["mediaType"])
        descriptor["platform"] = {"architecture": ARCHITECTURES[arch][0], "os": "linux"}
        # The name that tools such as skopeo ask for: oci:FOLDER:x86-64
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": arch}
        manifests.append(descriptor)
        sizes[arch] = sum(layer["size"] for layer in manifest["layers"])
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    }
    for path, document in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index)):
        with open(os.path.join(layout, path), "w", encoding="utf-8") as file:
            file.write(json.dumps(document, sort_keys=True, separators=(",", ":")))
    return sizes


class Report:
    """A table of sizes beside limits; what does not fit is said, and is no failure of packing."""

    def __init__(self):
        self.rows = []

    def add(self, package, what, size, limit, otherwise):
        verdict = "fits" if size <= limit else otherwise
        self.rows.append((package, what, f"{size / MB:.1f} MB", f"{limit / MB:.0f} MB", verdict))

    def show(self):
        rows = [("package", "what", "size", "limit", "")] + self.rows
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        for row in rows:
            cells = [row[i].ljust(widths[i]) if i in (0, 1) else row[i].rjust(widths[i])
                     for i in range(4)]
            print("  ".join(cells + [row[4]]).rstrip())


def pack(snapshot, bootstraps, out):
    check_inputs(snapshot, bootstraps)
    name = os.path.basename(snapshot)
    stem = name.removesuffix(".thaw")
    if os.path.exists(out):
        shutil.rmtree(out)
    os.makedirs(out)
    report = Report()
    stored = os.path.getsize(snapshot)
    deflated = deflated_bytes(snapshot)
    for arch, path in bootstraps.items():
        shutil.copyfile(path, os.path.join(out, f"bootstrap-{arch}"))
        os.chmod(os.path.join(out, f"bootstrap-{arch}"), 0o755)
        program = os.path.getsize(path)
        # Deflated weights take longer to pack, to upload and to unpack than they save, unless they
        # spare the way through S3.
        members = [("bootstrap", path, 0o755), (name, snapshot, 0o644)]
        for platform, direct in (("lambda", LAMBDA_DIRECT_MAX), ("fc", FC_DIRECT_MAX)):
            if platform == "fc" and arch != "x86-64":
                continue  # Function Compute has x86-64 alone
            package = f"{platform}-{arch}-{stem}.zip"
            deflates = stored + program > direct >= deflated + program
            write_zip(os.path.join(out, package), members, deflates)
            size = os.path.getsize(os.path.join(out, package))
            if platform == "lambda":
                report.add(package, "unzipped", stored + program, LAMBDA_UNZIPPED_MAX,
                           "too large: use the image")
                report.add(package, "direct upload", size, LAMBDA_DIRECT_MAX, "upload through S3")
            else:
                report.add(package, "upload", size, FC_MAX, "too large: use the image")
                report.add(package, "upload by API, small regions", size, FC_DIRECT_MAX,
                           "upload through OSS")
    layout = os.path.join(out, f"oci-{stem}")
    for arch, size in write_layout(layout, snapshot, name, bootstraps).items():
        report.add(f"oci-{stem}:{arch}", "layers", size, IMAGE_MAX, "too large for a function")
    share = 100 * deflated / stored
    print(f"{name}: {stored / MB:.1f} MB, deflated {deflated / MB:.1f} MB ({share:.1f} %)")
    report.show()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("snapshot")
    parser.add_argument("--bootstrap", action="append", required=True, metavar="ARCH=PATH",
                        help="x86-64=PATH or aarch64=PATH; repeatable")
    parser.add_argument("--out", required=True, help="a folder that is made anew")
    arguments = parser.parse_args()
    bootstraps = {}
    for word in arguments.bootstrap:
        arch, separator, path = word.partition("=")
        if arch not in ARCHITECTURES or not separator:
            parser.error(f"--bootstrap '{word}': wanted x86-64=PATH or aarch64=PATH")
        bootstraps[arch] = path
    try:
        pack(arguments.snapshot, bootstraps, arguments.out)
    except OSError as error:
        fail(f"{error.filename or arguments.out}: {error.strerror or error}")


if __name__ == "__main__":
    main()
