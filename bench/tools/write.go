package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// writePoints writes points to InfluxDB's API over several connections, evenly spread over days that end today.
func writePoints(arguments []string) error {
	flags := flag.NewFlagSet("write", flag.ExitOnError)
	url := flags.String("url", "", "the write endpoint with its query")
	token := flags.String("token", "", "API token")
	points := flags.Int("points", 100_000, "how many points")
	lines := flags.Int("lines", 1_000, "points per request")
	connections := flags.Int("connections", 4, "requests at once")
	days := flags.Int("days", 84, "days that the points are spread over")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	requests := make([]string, 0, *points / *lines)
	step := int64(*days) * int64(24*time.Hour) / int64(*points)
	first := time.Now().UnixNano() - step*int64(*points)
	for point := 0; point < *points; {
		var text strings.Builder
		for line := 0; line < *lines && point < *points; line++ {
			fmt.Fprintf(&text, "temperature,datacenter_id=1,device_fingerprint=%d value=%s %d\n",
				point%20, strconv.FormatFloat(10+float64(point%1_000)/100, 'f', 2, 64), first+step*int64(point))
			point++
		}
		requests = append(requests, text.String())
	}

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *connections}, Timeout: time.Minute}
	queue := make(chan string)
	failures := make(chan error, *connections)
	var workers sync.WaitGroup
	started := time.Now()
	for range *connections {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for body := range queue {
				if err := post(client, *url, *token, body); err != nil {
					select {
					case failures <- err:
					default:
					}
				}
			}
		}()
	}
	for _, body := range requests {
		queue <- body
	}
	close(queue)
	workers.Wait()
	seconds := time.Since(started).Seconds()
	select {
	case err := <-failures:
		return err
	default:
		return printResult(map[string]any{"points": *points, "seconds": seconds})
	}
}

func post(client *http.Client, url, token, body string) error {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("authorization", "Token "+token)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s: %s", response.Status, answer)
	}
	return nil
}
