// pgx logs in again and again: `logins pool|single SECONDS` with the settings of libpq's variables, and says how that went.
//
// `pool` is a pgxpool whose connections live a quarter of a second; it reads the password once, when it is made. `single` makes a connection for each question and reads the
// password each time. One line of JSON: {"ok": …, "errors": [texts], "users": [who it was]}.
package main

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

type result struct {
	Ok     int      `json:"ok"`
	Errors []string `json:"errors"`
	Users  []string `json:"users"`
}

const question = "select current_user"

func main() {
	seconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	ask := single
	if os.Args[1] == "pool" {
		config, err := pgxpool.ParseConfig("")
		if err != nil {
			panic(err)
		}
		config.MaxConns = 2
		config.MaxConnLifetime = 250 * time.Millisecond
		config.HealthCheckPeriod = 100 * time.Millisecond
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			panic(err)
		}
		defer pool.Close()
		ask = func(ctx context.Context) (user string, err error) {
			err = pool.QueryRow(ctx, question).Scan(&user)
			return
		}
	}
	seen := result{Errors: []string{}, Users: []string{}}
	for end := time.Now().Add(time.Duration(seconds * float64(time.Second))); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		user, err := ask(ctx)
		if err != nil {
			seen.Errors = append(seen.Errors, err.Error())
			continue
		}
		seen.Ok++
		if !slices.Contains(seen.Users, user) {
			seen.Users = append(seen.Users, user)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		panic(err)
	}
}

func single(ctx context.Context) (user string, err error) {
	connection, err := pgx.Connect(ctx, "")
	if err != nil {
		return "", err
	}
	defer connection.Close(ctx)
	err = connection.QueryRow(ctx, question).Scan(&user)
	return
}
