// Command tools holds the benchmark's own ends of the wire: a publisher, a platform that only counts, a broker with a
// strict window and a writer of points. They are in Go so that they are never what a measurement is limited by.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

func main() {
	commands := map[string]func(arguments []string) error{
		"publish": publish,
		"sink":    sink,
		"broker":  broker,
		"write":   writePoints,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("usage: tools publish|sink|broker|write [flags]"))
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// printResult writes one line of JSON for the program that started us.
func printResult(result any) error {
	return json.NewEncoder(os.Stdout).Encode(result)
}

func nowMicroseconds() int64 {
	return time.Now().UnixMicro()
}
