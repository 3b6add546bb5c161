// The Go SDK as an oracle: JSON lines in, JSON lines out.
//
//	{"op": "read", "text": …}                      the profile file as config.LoadFile reads it
//	{"op": "resolve", "env": {…}, …}               the settings as config.Config resolves them
//
// "resolve" takes two more fields: "profile", which a program sets explicitly (the official CLI does so with the default
// profile), and "flag", the profile of the official CLI's --profile, which comes with loaders of its own.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/databricks/databricks-sdk-go/config"
)

type request struct {
	Op      string            `json:"op"`
	Text    string            `json:"text"`
	Env     map[string]string `json:"env"`
	Profile string            `json:"profile"`
	Flag    string            `json:"flag"`
}

func main() {
	folder, err := os.MkdirTemp("", "oracle-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	lines := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := json.NewEncoder(os.Stdout)
	for {
		var asked request
		if err := lines.Decode(&asked); err == io.EOF {
			return
		} else if err != nil {
			panic(err)
		}
		var answer map[string]any
		switch asked.Op {
		case "read":
			answer = read(filepath.Join(folder, "file"), asked.Text)
		case "resolve":
			answer = resolve(asked)
		default:
			answer = map[string]any{"error": "unknown op " + asked.Op}
		}
		if err := out.Encode(answer); err != nil {
			panic(err)
		}
	}
}

func read(path, text string) map[string]any {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
	file, err := config.LoadFile(path)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	sections := map[string]map[string]string{}
	for _, section := range file.Sections() {
		sections[section.Name()] = section.KeysHash()
	}
	return map[string]any{"sections": sections}
}

func resolve(asked request) map[string]any {
	os.Clearenv()
	for name, value := range asked.Env {
		os.Setenv(name, value)
	}
	settings := &config.Config{Profile: asked.Profile, RetryTimeoutSeconds: 1}
	if asked.Flag != "" {
		settings.Profile = asked.Flag
		settings.Loaders = []config.Loader{environment{withCredentials: false}, config.ConfigFile, environment{withCredentials: true}}
	}
	dummy, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:1/", nil)
	if err != nil {
		panic(err)
	}
	if err := settings.Authenticate(dummy); err != nil {
		return map[string]any{"error": err.Error()}
	}
	headers := []string{}
	for name := range dummy.Header {
		headers = append(headers, name)
	}
	return map[string]any{"host": settings.Host, "method": settings.AuthType, "authorization": dummy.Header.Get("Authorization"), "profile": settings.Profile, "headers": headers}
}

// environment loads variables as the official CLI does where --profile is given: first those that are no credential, and
// after the profile those that are, each only where nothing is set. What binds a profile to its workspace never comes from there.
type environment struct{ withCredentials bool }

func (environment) Name() string { return "environment" }

func (e environment) Configure(settings *config.Config) error {
	for _, attribute := range config.ConfigAttributes {
		switch attribute.Name {
		case "workspace_id", "account_id", "auth_type", "discovery_url", "audience", "cloud":
			continue
		}
		credential := attribute.HasAuthAttribute() || attribute.Name == "host"
		if credential != e.withCredentials || !attribute.IsZero(settings) {
			continue
		}
		if value, _ := attribute.ReadEnv(); value != "" {
			if err := attribute.SetS(settings, value); err != nil {
				return fmt.Errorf("%s: %w", attribute.Name, err)
			}
		}
	}
	return nil
}
