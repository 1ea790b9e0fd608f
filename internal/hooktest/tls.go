package hooktest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Authority is a certificate authority that exists for one test.
type Authority struct {
	PEM  []byte // its certificate
	Pool *x509.CertPool

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Certificate is what an authority issued.
type Certificate struct {
	PEM, KeyPEM []byte
}

// NewAuthority makes an authority that nobody else trusts.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	now := time.Now()
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of the authority: %w", err)
	}
	a := &Authority{PEM: block("CERTIFICATE", der), Pool: x509.NewCertPool(), cert: cert, key: key}
	a.Pool.AppendCertsFromPEM(a.PEM)
	return a, nil
}

// Issue makes a certificate for servers and clients of this name or IP address, which ends at that time.
func (a *Authority) Issue(name string, notAfter time.Time) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: notAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		cert.IPAddresses = []net.IP{ip}
	} else {
		cert.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a key: %w", err)
	}
	return &Certificate{PEM: block("CERTIFICATE", der), KeyPEM: block("PRIVATE KEY", raw)}, nil
}

func block(kind string, der []byte) []byte {
	var text bytes.Buffer
	_ = pem.Encode(&text, &pem.Block{Type: kind, Bytes: der})
	return text.Bytes()
}

// TLSOptions say how a server speaks TLS, well or badly.
type TLSOptions struct {
	Certificate *Certificate
	Clients     *Authority // it asks for a client certificate of this authority, and goes without none; nil: it does not ask
	MaxVersion  uint16     // of TLS; 0: the newest
	OnlyHTTP1   bool
}

// ServeTLS starts a server on address that speaks TLS.
func ServeTLS(ctx context.Context, address string, h http.Handler, o TLSOptions) (*Server, error) {
	pair, err := tls.X509KeyPair(o.Certificate.PEM, o.Certificate.KeyPEM)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	config := &tls.Config{ //nolint:gosec // old receivers exist
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: o.MaxVersion, NextProtos: []string{"h2", "http/1.1"},
	}
	if o.OnlyHTTP1 {
		config.NextProtos = []string{"http/1.1"}
	}
	if o.Clients != nil {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, o.Clients.Pool
	}
	return serve(ctx, address, h, config)
}
