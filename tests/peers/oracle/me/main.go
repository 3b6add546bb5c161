// The Go SDK as a long-running program: me PROFILE CALLS PAUSE_MS asks who it is, again and again, and says how that went.
//
// One line of JSON: {"ok": …, "unauthorized": …, "errors": [texts of all failures], "users": [who it was]}.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/databricks/databricks-sdk-go/apierr"
	"github.com/databricks/databricks-sdk-go/client"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/service/iam"
)

type result struct {
	Ok           int      `json:"ok"`
	Unauthorized int      `json:"unauthorized"`
	Errors       []string `json:"errors"`
	Users        []string `json:"users"`
}

func main() {
	calls, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	pause, err := strconv.Atoi(os.Args[3])
	if err != nil {
		panic(err)
	}
	seen := result{Errors: []string{}, Users: []string{}}
	workspace, err := client.New(&config.Config{Profile: os.Args[1]})
	if err != nil {
		seen.Errors = append(seen.Errors, err.Error())
		calls = 0
	}
	for call := range calls {
		if call > 0 {
			time.Sleep(time.Duration(pause) * time.Millisecond)
		}
		user, err := iam.NewCurrentUser(workspace).Me(context.Background(), iam.MeRequest{})
		if err != nil {
			if errors.Is(err, apierr.ErrUnauthenticated) {
				seen.Unauthorized++
			}
			seen.Errors = append(seen.Errors, err.Error())
			continue
		}
		seen.Ok++
		if !slices.Contains(seen.Users, user.UserName) {
			seen.Users = append(seen.Users, user.UserName)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		panic(err)
	}
}
