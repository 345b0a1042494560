# Fetch a mailbox with Perl's Net::POP3: fetch.pl HOST PORT USER PASSWORD FOLDER
#
# Each message goes to FOLDER/N.eml, with the line ends that the module gives it, and is deleted on the server.
use strict;
use warnings;
use Net::POP3;

my ($host, $port, $user, $password, $folder) = @ARGV;
my $client = Net::POP3->new($host, Port => $port, Timeout => 30) or die "cannot connect: $@";
my $count = $client->login($user, $password);
defined $count or die "cannot log in: " . $client->message;
$count += 0;
for my $number (1 .. $count) {
    my $lines = $client->get($number) or die "cannot get $number: " . $client->message;
    open my $file, '>:raw', "$folder/$number.eml" or die $!;
    print $file @$lines;
    close $file or die $!;
    $client->delete($number) or die "cannot delete $number: " . $client->message;
}
$client->quit or die "cannot quit: " . $client->message;
print "$count\n";
