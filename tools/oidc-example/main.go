// The example server of github.com/zitadel/oidc, with one thing more: the key of its service user comes from outside, in
// SERVICE_KEY_FILE (a PEM of the public key), and is found without a kid. The example's own key has 1,024 bits and a private
// half that everybody knows. What is demanded of an assertion, and all else, is the library's.
package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log"
	"net/http"
	"os"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/config"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

type keyedStorage struct {
	*storage.Storage
	serviceUser string
	key         any
}

func (s *keyedStorage) GetKeyByIDAndClientID(_ context.Context, keyID, clientID string) (*jose.JSONWebKey, error) {
	if clientID != s.serviceUser || s.key == nil {
		return nil, errors.New("clientID not found")
	}
	return &jose.JSONWebKey{KeyID: keyID, Use: "sig", Key: s.key}, nil
}

func publicKey(file string) (any, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM in " + file)
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

func main() {
	cfg := config.FromEnvVars(&config.Config{Port: "9998"})
	issuer := "http://localhost:" + cfg.Port + "/"
	key, err := publicKey(os.Getenv("SERVICE_KEY_FILE"))
	if err != nil {
		log.Fatal(err)
	}
	storage.RegisterClients(storage.WebClient("web", "secret", cfg.RedirectURI...))
	users := storage.NewUserStore(issuer)
	kept := &keyedStorage{Storage: storage.NewStorage(users), serviceUser: users.ExampleClientID(), key: key}
	router := exampleop.SetupServer(issuer, kept, nil, true)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+cfg.Port, router))
}
