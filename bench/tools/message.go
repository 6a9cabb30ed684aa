package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// firstSequence keeps the sequence number at nine digits, so that bodies are equally long and valid JSON.
const firstSequence = 100_000_000

const (
	sequencePlaceholder = "{sequence}"
	sentPlaceholder     = "{sent}"
)

// template is a message's body in which a sequence number (nine digits) and the time of sending (microseconds since
// the epoch, sixteen digits, exact in a double) are patched.
type template struct {
	body       []byte
	sequenceAt int
	sentAt     int // -1: the template has no time
}

func parseTemplate(text string) (template, error) {
	if !bytes.Contains([]byte(text), []byte(sequencePlaceholder)) {
		return template{}, fmt.Errorf("the body needs %s", sequencePlaceholder)
	}
	// Neither number has the other's placeholder in it, so one can be filled after the other.
	body := bytes.Replace([]byte(text), []byte(sequencePlaceholder), []byte("100000000"), 1)
	sentAt := bytes.Index(body, []byte(sentPlaceholder))
	if sentAt >= 0 {
		body = bytes.Replace(body, []byte(sentPlaceholder), []byte("1000000000000000"), 1)
	}
	return template{body: body, sequenceAt: bytes.Index(body, []byte("100000000")), sentAt: sentAt}, nil
}

// fill writes the numbers into a copy of the template's body.
func (t template) fill(body []byte, sequence int, sent int64) {
	putDigits(body[t.sequenceAt:t.sequenceAt+9], int64(firstSequence+sequence))
	if t.sentAt >= 0 {
		putDigits(body[t.sentAt:t.sentAt+16], sent)
	}
}

func putDigits(into []byte, value int64) {
	for at := len(into) - 1; at >= 0; at-- {
		into[at] = byte('0' + value%10)
		value /= 10
	}
}

// reading is what the sink finds of one message.
type reading struct {
	sequence int
	sent     int64
}

// scanReadings finds the messages in a request, however it wraps them: JSON, JSON within JSON, or line protocol.
// A sequence is looked for by its name and digits; the sending time likewise, anywhere before the next sequence.
func scanReadings(request []byte, into []reading) []reading {
	for at := 0; ; {
		found := bytes.Index(request[at:], []byte("sequence"))
		if found < 0 {
			return into
		}
		at += found
		end := at + 1
		if next := bytes.Index(request[end:], []byte("sequence")); next >= 0 {
			end += next
		} else {
			end = len(request)
		}
		if sequence, ok := numberAfter(request[at:end], "sequence"); ok {
			sent, _ := numberAfter(request[at:end], "sent")
			into = append(into, reading{int(sequence) - firstSequence, sent})
		}
		at = end
	}
}

func numberAfter(text []byte, name string) (int64, bool) {
	at := bytes.Index(text, []byte(name))
	if at < 0 {
		return 0, false
	}
	at += len(name)
	for skipped := 0; at < len(text) && (text[at] < '0' || text[at] > '9'); skipped++ {
		if skipped == 8 { // quotes, escaped twice at most, and a colon
			return 0, false
		}
		at++
	}
	end := at
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	number, err := strconv.ParseInt(string(text[at:end]), 10, 64)
	return number, err == nil
}
