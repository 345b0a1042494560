# Perl's Net::POP3: client.pl retr|list|show PORT COUNT [CA]
#
# retr receives the messages 1 to COUNT and drops them; list parses LIST and UIDL, COUNT entries each; show writes
# message 1 to standard output. With CA it is TLS from the first octet, by IO::Socket::SSL.
use strict;
use warnings;
use Net::POP3;

my ($job, $port, $count, $ca) = @ARGV;
my @tls = $ca ? (SSL => 1, SSL_ca_file => $ca, SSL_verifycn_name => 'localhost') : ();
my $client = Net::POP3->new('localhost', Port => $port, Timeout => 60, @tls) or die "cannot connect: $@";
defined $client->login('alice', 'secret') or die 'cannot log in: ' . $client->message;
if ($job eq 'list') {
    my ($sizes, $names) = ($client->list, $client->uidl);
    keys %$sizes == $count && keys %$names == $count or die 'entries are missing';
} else {
    for my $number (1 .. ($job eq 'show' ? 1 : $count)) {
        my $lines = $client->get($number) or die "cannot get $number: " . $client->message;
        my $message = join '', @$lines;
        print $message if $job eq 'show';
    }
}
$client->quit or die 'cannot quit: ' . $client->message;
