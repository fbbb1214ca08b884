#!/usr/bin/env bash
# Makes the certificates of the TLS tests: a root, an intermediate, and one for this machine for each kind of key.
#
# usage: certificates.sh FOLDER
#   root.pem             the root that clients trust; other.pem is one that has issued nothing
#   chain-KIND.pem       a certificate for localhost and 127.0.0.1, and the intermediate; its key is key-KIND.pem
#   chain-elsewhere.pem  one for another name
#   home/                a home folder whose NSS store trusts the root, if certutil is installed
set -euo pipefail
cd "$1"

{
    for name in root other intermediate; do
        openssl ecparam -name prime256v1 -genkey -noout -out "$name.key"
    done
    for name in root other; do
        openssl req -x509 -new -key "$name.key" -out "$name.pem" -days 30 -subj "/CN=the $name of a test" \
            -addext 'basicConstraints=critical,CA:true' -addext 'keyUsage=critical,keyCertSign'
    done

    issue() { # NAME ISSUER EXTENSION…: the certificate of NAME.key
        local name=$1 issuer=$2
        shift 2
        openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
        printf '%s\n' "$@" >"$name.ext"
        openssl x509 -req -in "$name.csr" -CA "$issuer.pem" -CAkey "$issuer.key" -set_serial "0x$(openssl rand -hex 8)" \
            -days 30 -extfile "$name.ext" -out "$name.pem"
    }

    issue intermediate root 'basicConstraints=critical,CA:true,pathlen:0' 'keyUsage=critical,keyCertSign'

    # The forms in which keys come: PKCS #8, PKCS #1, SEC 1, and SEC 1 after the parameters of its curve.
    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
    openssl rsa -in rsa.key -traditional -out rsa-pkcs1.key
    openssl ecparam -name prime256v1 -genkey -noout -out p256.key
    openssl ecparam -name prime256v1 -genkey -out p256-parameters.key
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp384r1 -out p384.key
    openssl genpkey -algorithm ED25519 -out ed25519.key
    openssl ecparam -name prime256v1 -genkey -noout -out elsewhere.key
    for kind in rsa rsa-pkcs1 p256 p256-parameters p384 ed25519 elsewhere; do
        names=DNS:localhost,IP:127.0.0.1
        [ "$kind" != elsewhere ] || names=DNS:elsewhere.test
        issue "$kind" intermediate "subjectAltName=$names" 'extendedKeyUsage=serverAuth' 'keyUsage=digitalSignature'
        cat "$kind.pem" intermediate.pem >"chain-$kind.pem"
        mv "$kind.key" "key-$kind.pem"
    done

    if command -v certutil; then
        mkdir -p home/.pki/nssdb
        certutil -N -d sql:home/.pki/nssdb --empty-password
        certutil -A -d sql:home/.pki/nssdb -t C,, -n root -i root.pem
    fi
} >certificates.log 2>&1 || {
    cat certificates.log >&2
    exit 1
}
