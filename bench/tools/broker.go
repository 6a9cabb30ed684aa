package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// broker sends its first subscriber QoS 1 messages and never has more of them unacknowledged than its window, whatever
// the subscriber says. Mosquitto up to 2.0.12 isn't that strict, and hides what a window costs.
func broker(arguments []string) error {
	flags := flag.NewFlagSet("broker", flag.ExitOnError)
	count := flags.Int("count", 10_000, "how many messages")
	window := flags.Int("window", 20, "how many messages may be unacknowledged")
	body := flags.String("body", "", "body with {sequence} and perhaps {sent}")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	template, err := parseTemplate(*body)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := printResult(map[string]any{"port": listener.Addr().(*net.TCPAddr).Port}); err != nil {
		return err
	}
	connection, err := listener.Accept()
	if err != nil {
		return err
	}
	subscriber := &subscriber{connection: connection, subscribed: make(chan struct{}), credit: make(chan struct{}, *window)}
	go func() {
		if err := subscriber.read(); err != nil && !errors.Is(err, io.EOF) {
			fail(err)
		}
	}()
	<-subscriber.subscribed
	result := published{FirstSentUs: nowMicroseconds()}
	for range *window {
		subscriber.credit <- struct{}{}
	}
	if err := subscriber.send(template, *count, &result.Sent); err != nil {
		return err
	}
	for range *window {
		<-subscriber.credit
	}
	result.Acknowledged = int(subscriber.acknowledged.Load())
	result.LastAckUs = nowMicroseconds()
	if err := printResult(result); err != nil {
		return err
	}
	select {} // the connection stays up until we are killed
}

type subscriber struct {
	connection   net.Conn
	version      byte
	topic        string
	subscribed   chan struct{}
	credit       chan struct{}
	acknowledged atomic.Int64
}

func (s *subscriber) send(template template, count int, sent *int) error {
	properties := 0
	if s.version == 5 {
		properties = 1
	}
	head := publishHead(s.topic, len(template.body)+properties)
	packets := make([]byte, 0, 1<<16)
	for *sent < count {
		<-s.credit
		packets = packets[:0]
		for spare := true; spare; {
			packets = append(packets, head...)
			packets = binary.BigEndian.AppendUint16(packets, uint16(*sent%65_535+1))
			packets = append(packets, make([]byte, properties)...)
			packets = append(packets, template.body...)
			template.fill(packets[len(packets)-len(template.body):], *sent, nowMicroseconds())
			*sent++
			spare = false
			if *sent < count {
				select {
				case <-s.credit:
					spare = true
				default:
				}
			}
		}
		if _, err := s.connection.Write(packets); err != nil {
			return err
		}
	}
	return nil
}

func (s *subscriber) read() error {
	reader := bufio.NewReader(s.connection)
	for {
		kind, err := reader.ReadByte()
		if err != nil {
			return err
		}
		length, err := binary.ReadUvarint(reader) // MQTT's remaining length is encoded alike
		if err != nil {
			return err
		}
		packet := make([]byte, length)
		if _, err := io.ReadFull(reader, packet); err != nil {
			return err
		}
		if err := s.handle(kind>>4, packet); err != nil {
			return err
		}
	}
}

func (s *subscriber) handle(kind byte, packet []byte) error {
	switch kind {
	case 1: // CONNECT
		s.version = packet[6]
		if s.version == 5 {
			return s.answer(0x20, 3, 0, 0, 0)
		}
		return s.answer(0x20, 2, 0, 0)
	case 4: // PUBACK
		s.acknowledged.Add(1)
		s.credit <- struct{}{}
		return nil
	case 8: // SUBSCRIBE
		filter := packet[2:]
		id := packet[:2]
		if s.version == 5 {
			length, bytes := binary.Uvarint(filter)
			filter = filter[bytes+int(length):]
		}
		s.topic = string(filter[2 : 2+binary.BigEndian.Uint16(filter)])
		var err error
		if s.version == 5 {
			err = s.answer(0x90, 4, id[0], id[1], 0, 1)
		} else {
			err = s.answer(0x90, 3, id[0], id[1], 1)
		}
		close(s.subscribed)
		return err
	case 12: // PINGREQ
		return s.answer(0xd0, 0)
	case 14: // DISCONNECT
		return nil
	}
	return fmt.Errorf("the subscriber sends a packet of type %d", kind)
}

func (s *subscriber) answer(packet ...byte) error {
	_, err := s.connection.Write(packet)
	return err
}
