"""Certificates for the tests of TLS, made by the openssl program."""

import pathlib
import subprocess


class Authority:
    """One authority, and what it signs."""

    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
            "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", f"/CN={name}",
        )
        self.ca = self.folder / "ca.pem"

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def issue(self, name, names, days=1):
        """(certificate, key) for e.g. DNS:localhost,IP:127.0.0.1; days < 0: it has expired."""
        self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
        )
        (self.folder / "extensions").write_text(f"subjectAltName={names}\n")
        self.openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", str(days), "-extfile", "extensions",
            "-out", f"{name}.pem",
        )
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"
