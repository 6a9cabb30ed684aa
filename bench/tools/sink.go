package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What the sink has seen since its last reset; times in microseconds since the epoch, latencies in milliseconds.
type sinkStats struct {
	Requests        int     `json:"requests"`
	Receipts        int     `json:"receipts"`
	FailedReceipts  int     `json:"failedReceipts"`
	Unique          int     `json:"unique"`
	Duplicates      int     `json:"duplicates"`
	LastConfirmedUs int64   `json:"lastConfirmedUs"`
	P50             float64 `json:"p50"`
	P99             float64 `json:"p99"`
	Max             float64 `json:"max"`
}

// counter counts messages by their sequence number when they are confirmed: when the provider has taken the receipt,
// or, where a request asks for none, when it is answered.
type counter struct {
	mutex     sync.Mutex
	stats     sinkStats
	seen      []bool
	latencies []float64
	changed   chan struct{} // closed and replaced at every confirmation
	delay     time.Duration
	downUntil time.Time
}

// sink answers like OpenWhisk's trigger endpoint (202, then a receipt to the site) or, where the path says so,
// like InfluxDB's write endpoint (204). /bench/… steers it and asks it.
func sink(arguments []string) error {
	flags := flag.NewFlagSet("sink", flag.ExitOnError)
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	counter := &counter{changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/bench/reset", counter.reset)
	mux.HandleFunc("/bench/down", counter.down)
	mux.HandleFunc("/bench/wait", counter.wait)
	mux.HandleFunc("/api/v2/write", func(response http.ResponseWriter, request *http.Request) {
		counter.take(response, request, http.StatusNoContent, "")
	})
	mux.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodGet {
			platformInfo(response)
			return
		}
		counter.take(response, request, http.StatusAccepted, `{"activationId":"0123456789abcdef0123456789abcdef"}`)
	})
	if err := printResult(map[string]any{"port": listener.Addr().(*net.TCPAddr).Port}); err != nil {
		return err
	}
	return http.Serve(listener, mux)
}

// platformInfo is what a provider may read about limits before it fires: none that matter.
func platformInfo(response http.ResponseWriter) {
	response.Header().Set("content-type", "application/json")
	io.WriteString(response, `{"description":"OpenWhisk","limits":{"actions_per_minute":10000000,"triggers_per_minute":10000000,"concurrent_actions":10000}}`)
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (c *counter) take(response http.ResponseWriter, request *http.Request, status int, answer string) {
	body := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	if _, err := io.Copy(body, request.Body); err != nil {
		return
	}
	c.mutex.Lock()
	delay, isDown := c.delay, time.Now().Before(c.downUntil)
	c.mutex.Unlock()
	if isDown {
		panic(http.ErrAbortHandler) // the connection is cut
	}
	readings := scanReadings(body.Bytes(), nil)
	expected, hasReceipt := receiptOf(body.Bytes())
	time.Sleep(delay)
	c.mutex.Lock()
	c.stats.Requests++
	c.mutex.Unlock()
	response.Header().Set("content-type", "application/json")
	response.WriteHeader(status)
	if answer != "" {
		io.WriteString(response, answer)
	}
	if !hasReceipt {
		c.confirm(readings)
		return
	}
	go func() {
		if !expected.send() {
			c.mutex.Lock()
			c.stats.FailedReceipts++
			c.mutex.Unlock()
			return
		}
		c.mutex.Lock()
		c.stats.Receipts++
		c.mutex.Unlock()
		c.confirm(readings)
	}()
}

func (c *counter) confirm(readings []reading) {
	now := nowMicroseconds()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, reading := range readings {
		for reading.sequence >= len(c.seen) {
			c.seen = append(c.seen, make([]bool, max(1<<16, len(c.seen)))...)
		}
		if c.seen[reading.sequence] {
			c.stats.Duplicates++
			continue
		}
		c.seen[reading.sequence] = true
		c.stats.Unique++
		if reading.sent > 0 {
			c.latencies = append(c.latencies, float64(now-reading.sent)/1_000)
		}
	}
	c.stats.LastConfirmedUs = now
	close(c.changed)
	c.changed = make(chan struct{})
}

// reset forgets everything; ?delayMs= is how long every later answer takes.
func (c *counter) reset(response http.ResponseWriter, request *http.Request) {
	milliseconds, _ := strconv.Atoi(request.URL.Query().Get("delayMs"))
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.stats, c.seen, c.latencies = sinkStats{}, nil, nil
	c.delay = time.Duration(milliseconds) * time.Millisecond
	c.downUntil = time.Time{}
	response.WriteHeader(http.StatusNoContent)
}

// down cuts every connection on which a request comes, for ?seconds=.
func (c *counter) down(response http.ResponseWriter, request *http.Request) {
	seconds, _ := strconv.ParseFloat(request.URL.Query().Get("seconds"), 64)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.downUntil = time.Now().Add(time.Duration(seconds * float64(time.Second)))
	response.WriteHeader(http.StatusNoContent)
}

// wait answers with the stats as soon as ?count= different messages are confirmed, or ?timeoutMs= is over.
func (c *counter) wait(response http.ResponseWriter, request *http.Request) {
	count, _ := strconv.Atoi(request.URL.Query().Get("count"))
	milliseconds, _ := strconv.Atoi(request.URL.Query().Get("timeoutMs"))
	deadline := time.After(time.Duration(milliseconds) * time.Millisecond)
	for {
		c.mutex.Lock()
		changed, isDone := c.changed, c.stats.Unique >= count
		c.mutex.Unlock()
		if isDone {
			break
		}
		select {
		case <-changed:
			continue
		case <-deadline:
		}
		break
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.latencies) > 0 {
		sort.Float64s(c.latencies)
		last := len(c.latencies) - 1
		c.stats.P50, c.stats.P99, c.stats.Max = c.latencies[last/2], c.latencies[last*99/100], c.latencies[last]
	}
	json.NewEncoder(response).Encode(c.stats)
}

type receipt struct {
	BatchID string
	URL     string `json:"url"`
	Token   string `json:"token"`
}

// receiptOf finds what a firing says about its receipt. Quotes within messages are escaped, so that neither name can
// be met inside one.
func receiptOf(request []byte) (receipt, bool) {
	var found receipt
	if !decodeAfter(request, `"receipt":`, &found) || !decodeAfter(request, `"batchId":`, &found.BatchID) {
		return receipt{}, false
	}
	return found, true
}

func decodeAfter(request []byte, name string, into any) bool {
	at := bytes.Index(request, []byte(name))
	return at >= 0 && json.NewDecoder(bytes.NewReader(request[at+len(name):])).Decode(into) == nil
}

var receiptClient = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	Timeout:   30 * time.Second,
}

// send tells the site that everything is stored; says whether the site took it.
func (r receipt) send() bool {
	content := fmt.Sprintf(`{"batchId":%q,"stored":"all"}`, r.BatchID)
	request, err := http.NewRequest(http.MethodPost, r.URL, strings.NewReader(content))
	if err != nil {
		return false
	}
	request.Header.Set("authorization", "Bearer "+r.Token)
	request.Header.Set("content-type", "application/json")
	response, err := receiptClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return response.StatusCode == http.StatusNoContent
}
