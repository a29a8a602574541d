"""A certificate authority, and PEM stores that it made."""

import os
import subprocess

from trials import WORK

STORES = os.path.join(WORK, "stores")


def certificate(name, alternatives):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=STORES)

    os.makedirs(STORES, exist_ok=True)
    if not os.path.exists(os.path.join(STORES, "ca.pem")):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test CA")
    with open(os.path.join(STORES, "names.cnf"), "w") as extensions:
        extensions.write(f"subjectAltName={alternatives}\nbasicConstraints=CA:FALSE\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
            f"{name}.csr", "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
            f"{name}.crt", "-days", "30", "-extfile", "names.cnf")
    path = os.path.join(STORES, f"{name}.pem")
    with open(path, "w") as store:
        for part in ("key", "crt"):
            with open(os.path.join(STORES, f"{name}.{part}")) as text:
                store.write(text.read())
    return path
