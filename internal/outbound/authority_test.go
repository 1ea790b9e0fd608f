package outbound

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority issues certificates for one test.
type authority struct {
	PEM  []byte
	Pool *x509.CertPool
	cert *x509.Certificate
	key  crypto.Signer
}

// issued is a certificate with its key.
type issued struct{ PEM, KeyPEM []byte }

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	a := &authority{PEM: certificateOf(t, key), Pool: x509.NewCertPool(), key: key}
	a.Pool.AppendCertsFromPEM(a.PEM)
	var err error
	if a.cert, err = x509.ParseCertificate(decodePEM(a.PEM)); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate for servers and clients of this name or address.
func issue(t *testing.T, a *authority, name string) issued {
	t.Helper()
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template509(name), a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return issued{PEM: encodePEM("CERTIFICATE", der), KeyPEM: encodePEM("PRIVATE KEY", raw)}
}

// certificateOf signs a certificate for 127.0.0.1 with its own key.
func certificateOf(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	c := template509("127.0.0.1")
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM("CERTIFICATE", der)
}

func template509(name string) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses, c.IsCA = []net.IP{ip}, true
	} else {
		c.DNSNames = []string{name}
	}
	return c
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func decodePEM(text []byte) []byte {
	block, _ := pem.Decode(text)
	return block.Bytes
}
