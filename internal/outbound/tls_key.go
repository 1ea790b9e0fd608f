package outbound

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // old keys are encrypted with it, and only read here
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // the default of PBKDF2, which does not lean on collisions
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"hash"

	"github.com/deltahook/deltahook/internal/setting"
)

// openKey decrypts a private key; one that is not encrypted is given back as it is.
func (t *TLS) openKey(text string, secrets *setting.Secrets) (string, error) {
	block := privateKey([]byte(text))
	if block == nil || block.Type != "ENCRYPTED PRIVATE KEY" && !x509.IsEncryptedPEMBlock(block) { //nolint:staticcheck // old keys are what is asked for
		return text, nil
	}
	if t.KeyPassword.IsZero() {
		return "", &keyError{"key", &setting.HintedError{Message: "the private key is encrypted", Hint: `write key_password = "env:NAME"`}}
	}
	password, err := secrets.Resolve(t.KeyPassword)
	if err != nil {
		return "", &keyError{"key_password", err}
	}
	var der []byte
	kind := "PRIVATE KEY"
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		der, err = openPKCS8(block.Bytes, password)
	} else {
		kind = block.Type
		der, err = x509.DecryptPEMBlock(block, []byte(password)) //nolint:staticcheck // as above
	}
	if err != nil {
		return "", &keyError{"key_password", &setting.HintedError{
			Message: "the private key cannot be decrypted: " + err.Error(), Hint: "check key_password; openssl pkcs8 -topk8 writes keys in a form that is known here",
		}}
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), nil
}

// privateKey finds the first private key of a file.
func privateKey(text []byte) *pem.Block {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil
		}
		if block.Type != "CERTIFICATE" && block.Type != "EC PARAMETERS" {
			return block
		}
		text = rest
	}
}

// The parts of an encrypted PKCS #8 key: RFC 5958, section 3, and RFC 8018, appendix A.
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2 struct {
		Derivation pkix.AlgorithmIdentifier
		Cipher     pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

var (
	errUnknownCipher = errors.New("it is not encrypted with PBKDF2 and AES or 3DES")
	errWrongPassword = errors.New("the password does not fit")
)

// openPKCS8 decrypts what openssl and others write: PBES2 with PBKDF2 and a cipher in CBC mode.
func openPKCS8(der []byte, password string) ([]byte, error) {
	var outer encryptedKey
	var scheme pbes2
	var derive pbkdf2Params
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, errUnknownCipher
	}
	if outer.Algorithm.Algorithm.String() != "1.2.840.113549.1.5.13" { // PBES2
		return nil, errUnknownCipher
	}
	if _, err := asn1.Unmarshal(outer.Algorithm.Parameters.FullBytes, &scheme); err != nil || scheme.Derivation.Algorithm.String() != "1.2.840.113549.1.5.12" {
		return nil, errUnknownCipher
	}
	if _, err := asn1.Unmarshal(scheme.Derivation.Parameters.FullBytes, &derive); err != nil {
		return nil, errUnknownCipher
	}
	var iv []byte
	if _, err := asn1.Unmarshal(scheme.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, errUnknownCipher
	}
	length, open := cipherOf(scheme.Cipher.Algorithm.String())
	h := prfOf(derive.PRF.Algorithm.String())
	const most = 10_000_000 // iterations; beyond is no key but an attack
	if open == nil || h == nil || derive.Iterations < 1 || derive.Iterations > most {
		return nil, errUnknownCipher
	}
	key, err := pbkdf2.Key(h, password, derive.Salt, derive.Iterations, length)
	if err != nil {
		return nil, err
	}
	block, err := open(key)
	if err != nil {
		return nil, err
	}
	return openCBC(block, iv, outer.Data)
}

func cipherOf(oid string) (length int, open func([]byte) (cipher.Block, error)) {
	switch oid {
	case "2.16.840.1.101.3.4.1.2":
		return 16, aes.NewCipher
	case "2.16.840.1.101.3.4.1.22":
		return 24, aes.NewCipher
	case "2.16.840.1.101.3.4.1.42":
		return 32, aes.NewCipher
	case "1.2.840.113549.3.7":
		return 24, des.NewTripleDESCipher
	}
	return 0, nil
}

func prfOf(oid string) func() hash.Hash {
	switch oid {
	case "", "1.2.840.113549.2.7":
		return sha1.New
	case "1.2.840.113549.2.9":
		return sha256.New
	case "1.2.840.113549.2.10":
		return sha512.New384
	case "1.2.840.113549.2.11":
		return sha512.New
	}
	return nil
}

// openCBC decrypts and takes off the padding, which tells whether the password was right.
func openCBC(block cipher.Block, iv, data []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, errUnknownCipher
	}
	out := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, data)
	pad := int(out[len(out)-1])
	if pad < 1 || pad > size {
		return nil, errWrongPassword
	}
	out = out[:len(out)-pad]
	if _, err := x509.ParsePKCS8PrivateKey(out); err != nil {
		return nil, errWrongPassword
	}
	return out, nil
}
