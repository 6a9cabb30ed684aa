package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// What a publisher did; times in microseconds since the epoch.
type published struct {
	Sent         int   `json:"sent"`
	Acknowledged int   `json:"acknowledged"`
	FirstSentUs  int64 `json:"firstSentUs"`
	LastAckUs    int64 `json:"lastAckUs"`
}

// publish sends QoS 1 messages over MQTT 3.1.1, at a rate or as fast as the broker acknowledges, and ends when every
// one is acknowledged.
func publish(arguments []string) error {
	flags := flag.NewFlagSet("publish", flag.ExitOnError)
	address := flags.String("broker", "127.0.0.1:1883", "host:port")
	topic := flags.String("topic", "test", "topic; %[1]d stands for the number of the topic, %[2]d for its last digit")
	topics := flags.Int("topics", 1, "how many topics are used in turn")
	count := flags.Int("count", 100_000, "how many messages")
	first := flags.Int("first", 0, "sequence number of the first message")
	rate := flags.Float64("rate", 0, "messages per second; 0 = as fast as possible")
	window := flags.Int("window", 2_000, "how many messages may be unacknowledged")
	body := flags.String("body", "", "body with {sequence} and perhaps {sent}")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	template, err := parseTemplate(*body)
	if err != nil {
		return err
	}
	connection, err := connectToBroker(*address, fmt.Sprintf("bench-publisher-%d", nowMicroseconds()))
	if err != nil {
		return err
	}
	defer connection.Close()

	var acknowledged atomic.Int64
	changed := make(chan struct{}, 1)
	failed := make(chan error, 1)
	go countAcknowledgements(connection, &acknowledged, changed, failed)

	heads := make([][]byte, *topics)
	for n := range heads {
		name := *topic
		if strings.Contains(name, "%[") {
			name = fmt.Sprintf(name, n, n%10)
		}
		heads[n] = publishHead(name, len(template.body))
	}

	result := published{FirstSentUs: nowMicroseconds()}
	started := time.Now()
	packets := make([]byte, 0, 1<<17)
	for result.Sent < *count {
		due := *count
		if *rate > 0 {
			due = min(due, int(time.Since(started).Seconds()**rate)+1)
		}
		allowed := min(due, int(acknowledged.Load())+*window, result.Sent+512)
		if allowed <= result.Sent {
			if err := pause(changed, failed, due <= result.Sent); err != nil {
				return err
			}
			continue
		}
		packets = packets[:0]
		sent := nowMicroseconds()
		for ; result.Sent < allowed; result.Sent++ {
			packets = append(packets, heads[result.Sent%*topics]...)
			packets = binary.BigEndian.AppendUint16(packets, uint16(result.Sent%65_535+1))
			packets = append(packets, template.body...)
			template.fill(packets[len(packets)-len(template.body):], *first+result.Sent, sent)
		}
		if _, err := connection.Write(packets); err != nil {
			return err
		}
	}
	for acknowledged.Load() < int64(*count) {
		if err := pause(changed, failed, false); err != nil {
			return err
		}
	}
	result.Acknowledged = int(acknowledged.Load())
	result.LastAckUs = nowMicroseconds()
	return printResult(result)
}

// pause waits for the next message to be due, or for an acknowledgement.
func pause(changed <-chan struct{}, failed <-chan error, forTime bool) error {
	if forTime {
		time.Sleep(time.Millisecond)
		return nil
	}
	select {
	case <-changed:
		return nil
	case err := <-failed:
		return err
	case <-time.After(30 * time.Second):
		return errors.New("the broker has acknowledged nothing for 30 s")
	}
}

// publishHead is a PUBLISH with QoS 1 up to its packet identifier (3.1.1, 3.3).
func publishHead(topic string, bodyBytes int) []byte {
	head := append([]byte{0x32}, remainingLength(2+len(topic)+2+bodyBytes)...)
	head = binary.BigEndian.AppendUint16(head, uint16(len(topic)))
	return append(head, topic...)
}

func remainingLength(length int) []byte {
	var encoded []byte
	for {
		digit := byte(length % 128)
		length /= 128
		if length == 0 {
			return append(encoded, digit)
		}
		encoded = append(encoded, digit|0x80)
	}
}

func connectToBroker(address, clientID string) (net.Conn, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	packet := append([]byte{0x10}, remainingLength(10+2+len(clientID))...)
	packet = append(packet, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0) // clean session, no keep-alive
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(clientID)))
	packet = append(packet, clientID...)
	if _, err := connection.Write(packet); err != nil {
		return nil, err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(connection, answer); err != nil {
		return nil, err
	}
	if answer[0] != 0x20 || answer[3] != 0 {
		return nil, fmt.Errorf("the broker refuses the connection: % x", answer)
	}
	return connection, nil
}

// countAcknowledgements reads PUBACKs, which are four bytes each in MQTT 3.1.1 and all that a broker sends here.
func countAcknowledgements(connection net.Conn, acknowledged *atomic.Int64, changed chan<- struct{}, failed chan<- error) {
	buffer := make([]byte, 1<<16)
	for bytesRead := 0; ; {
		read, err := connection.Read(buffer)
		bytesRead += read
		acknowledged.Store(int64(bytesRead / 4))
		select {
		case changed <- struct{}{}:
		default:
		}
		if err != nil {
			failed <- err
			return
		}
	}
}
